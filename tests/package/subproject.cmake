# SPDX-License-Identifier: Apache-2.0
# As a subproject the library brings neither tests nor benches nor install rules, and its own sources are found. The
# kernels take long to compile and are no different there: only their flags are checked. A build without optimisation
# must not reach them.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
build(simdsoftmax_common ${CMAKE_CURRENT_LIST_DIR}/subproject ${SCRATCH} -Dxsimd_INCLUDE_DIR=${xsimd_include_dir}
  -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
  -DSIMDSOFTMAX_SOURCE_DIR=${source_dir})

file(READ ${SCRATCH}/compile_commands.json commands)
foreach(isa IN LISTS isas)
  string(REGEX MATCH "\"command\": [^\n]*/kernels/isa/${isa}\\.cpp\"" command "${commands}")
  if(NOT command MATCHES " -O0 .* -O2 ")
    message(FATAL_ERROR "${isa} is not optimised in a Debug build: '${command}'")
  endif()
endforeach()
