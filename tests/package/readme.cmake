# SPDX-License-Identifier: Apache-2.0
# The first program of the README is the one that the examples compile.
file(READ ${SOURCE}/README.md readme)
file(READ ${SOURCE}/examples/first_program.cpp program)
string(REGEX REPLACE "^// SPDX[^\n]*\n" "" program "${program}")
string(FIND "${readme}" "```cpp\n${program}```" at)
if(at EQUAL -1)
  message(FATAL_ERROR "README.md does not show examples/first_program.cpp as it is")
endif()
