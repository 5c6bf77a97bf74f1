# SPDX-License-Identifier: Apache-2.0
cmake_minimum_required(VERSION 3.21)
include(${SETTINGS})

file(REMOVE_RECURSE ${SCRATCH})

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(install_to prefix)
  run(${CMAKE_COMMAND} --install ${build_dir} --prefix ${prefix})
endfunction()

# Configures the project in `source` and builds one target of it.
function(build target source binary)
  run(${CMAKE_COMMAND} -S ${source} -B ${binary} ${configure_arguments} ${ARGN})
  run(${CMAKE_COMMAND} --build ${binary} --target ${target} --parallel 2)
endfunction()

# The examples print the softmax of {1, 2, 3, 4} and of {-1, 0, 1, 9}.
function(expect_softmax program)
  execute_process(COMMAND ${emulator} ${program} OUTPUT_VARIABLE output COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" " " output "${output}")
  set(expected "0.032059 0.087144 0.236883 0.643914 0.000045 0.000123 0.000335 0.999496 ")
  if(NOT output STREQUAL expected)
    message(FATAL_ERROR "${program} printed\n  ${output}\ninstead of\n  ${expected}")
  endif()
endfunction()

function(expect_shared program yes)
  execute_process(COMMAND ${objdump} -p ${program} OUTPUT_VARIABLE headers COMMAND_ERROR_IS_FATAL ANY)
  set(shared OFF)
  if(headers MATCHES "NEEDED +libsimdsoftmax\\.so\\.")
    set(shared ON)
  endif()
  if(NOT shared STREQUAL yes)
    message(FATAL_ERROR "${program} is linked to the shared library: ${shared}, expected ${yes}")
  endif()
endfunction()
