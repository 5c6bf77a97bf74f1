# SPDX-License-Identifier: Apache-2.0
# pkg-config gives a compiler all it needs, shared and (with --static) static.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
install_to(${SCRATCH}/prefix)
file(GLOB_RECURSE pc_files ${SCRATCH}/prefix/*/simdsoftmax.pc)
get_filename_component(pc_dir ${pc_files} DIRECTORY)
get_filename_component(lib_dir ${pc_dir} DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${pc_dir})
set(source ${source_dir}/examples/first_program.cpp)

function(pkg_config result)
  execute_process(COMMAND pkg-config ${ARGN} simdsoftmax
    OUTPUT_VARIABLE output OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(output UNIX_COMMAND "${output}")
  set(${result} ${output} PARENT_SCOPE)
endfunction()

pkg_config(pc_version --modversion)
if(NOT pc_version STREQUAL version)
  message(FATAL_ERROR "pkg-config says version ${pc_version}; the project is ${version}")
endif()

pkg_config(flags --cflags --libs)
run(${cxx} -std=c++17 ${source} ${flags} -Wl,-rpath,${lib_dir} -o ${SCRATCH}/shared)
expect_softmax(${SCRATCH}/shared)
expect_shared(${SCRATCH}/shared ON)

# Without the shared library beside it the linker takes the static one.
file(GLOB shared_libraries ${lib_dir}/libsimdsoftmax.so*)
file(REMOVE ${shared_libraries})
pkg_config(flags --static --cflags --libs)
run(${cxx} -std=c++17 ${source} ${flags} -o ${SCRATCH}/static)
expect_softmax(${SCRATCH}/static)
expect_shared(${SCRATCH}/static OFF)
