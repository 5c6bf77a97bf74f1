# SPDX-License-Identifier: Apache-2.0
# The shared library exports the functions in exports.txt, which are those that the headers declare.
cmake_minimum_required(VERSION 3.21)

function(expect_list what)
  list(SORT ARGN)
  if(NOT ARGN STREQUAL expected)
    message(FATAL_ERROR "${what}:\n  ${ARGN}\nbut exports.txt has:\n  ${expected}")
  endif()
endfunction()

file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/exports.txt expected)
list(SORT expected)

execute_process(COMMAND ${NM} -P -D --defined-only ${LIBRARY} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE " [^\n]*\n" ";" exported "${symbols}")
list(REMOVE_ITEM exported "")
expect_list("the library exports" ${exported})

file(GLOB headers ${HEADERS}/*.h)
set(declared)
foreach(header IN LISTS headers)
  file(READ ${header} text)
  string(REGEX MATCHALL "SIMDSOFTMAX_API [^;(]*simdsoftmax_[a-z0-9_]+\\(" declarations "${text}")
  list(TRANSFORM declarations REPLACE "^.*[ *\n]([a-z0-9_]+)\\($" "\\1")
  list(APPEND declared ${declarations})
endforeach()
expect_list("the headers declare" ${declared})
