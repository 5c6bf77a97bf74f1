# SPDX-License-Identifier: Apache-2.0

# Every target of the project is compiled with these.
function(simdsoftmax_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  if(SIMDSOFTMAX_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
