# SPDX-License-Identifier: Apache-2.0
# The object file of one ISA defines its kernel table and nothing else that another object could get hold of: the
# linker keeps one copy of a weak function for the whole program, and it may be the one this CPU cannot run. Nor does
# it run anything before main().
cmake_minimum_required(VERSION 3.21)

string(REPLACE "|" ";" objects "${OBJECTS}")
list(FILTER objects INCLUDE REGEX "/kernels/isa/${ISA}\\.cpp\\.")
list(LENGTH objects count)
if(NOT count EQUAL 1)
  message(FATAL_ERROR "expected one object for ${ISA} among ${OBJECTS}")
endif()

function(output_of result)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  set(${result} "${output}" PARENT_SCOPE)
endfunction()

# A line of nm -P is "name type value size".
output_of(symbols ${NM} -P --defined-only ${objects})
string(REGEX MATCHALL "[^\n]+ [A-Zuvwi] [^\n]*" global_symbols "${symbols}")
string(LENGTH ${ISA}_kernels name_length)
set(table _ZN11simdsoftmax6detail${name_length}${ISA}_kernelsE)
if(NOT global_symbols MATCHES "^${table} [RD] [^;]*$")
  list(JOIN global_symbols "\n  " global_symbols)
  message(FATAL_ERROR "expected ${table} alone, as data; found\n  ${global_symbols}")
endif()

output_of(sections ${OBJDUMP} -h ${objects})
if(sections MATCHES "\\.(init_array|ctors|preinit_array)" OR symbols MATCHES "_GLOBAL__sub_I|__cxx_global_var_init")
  message(FATAL_ERROR "${objects} has a global initialiser")
endif()
