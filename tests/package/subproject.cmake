# SPDX-License-Identifier: Apache-2.0
# As a subproject the library brings neither tests nor benches nor install rules. Built without OpenMP and without
# optimisation, which must not reach the objects of the ISAs: their symbols are checked again.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
build(${CMAKE_CURRENT_LIST_DIR}/subproject ${SCRATCH} -Dxsimd_INCLUDE_DIR=${xsimd_include_dir} -DCMAKE_BUILD_TYPE=Debug
  -DSIMDSOFTMAX_OPENMP=OFF -DSIMDSOFTMAX_SOURCE_DIR=${source_dir})
run(${emulator} ${SCRATCH}/without_openmp)

file(GLOB_RECURSE objects ${SCRATCH}/*.o)
list(JOIN objects "|" objects)
foreach(isa IN LISTS isas)
  run(${CMAKE_COMMAND} -DNM=${nm} -DOBJDUMP=${objdump} -DISA=${isa} "-DOBJECTS=${objects}"
    -P ${source_dir}/tests/symbols/isa_object.cmake)
endforeach()
