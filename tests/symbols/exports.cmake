# SPDX-License-Identifier: Apache-2.0
# The shared library exports the functions in exports.txt, which are those that the header declares.
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

file(READ ${HEADER} header)
string(REGEX MATCHALL "SIMDSOFTMAX_API [^;(]*simdsoftmax_[a-z0-9_]+\\(" declarations "${header}")
list(TRANSFORM declarations REPLACE "^.*[ *\n]([a-z0-9_]+)\\($" "\\1")
expect_list("the header declares" ${declarations})
