# SPDX-License-Identifier: Apache-2.0
# The ISAs: kernels/isa/NAME.cpp is compiled with FLAGS wherever the compiler defines ARCHITECTURE for its target.
# Fills the target simdsoftmax_isas, and the variables simdsoftmax_isas (names) and isa_definitions (for the registry).
include(CheckCXXSourceCompiles)

function(simdsoftmax_isa name architecture)
  check_cxx_source_compiles("
    #ifndef ${architecture}
    #error
    #endif
    int main() {}" SIMDSOFTMAX_TARGET_IS${architecture})
  if(NOT SIMDSOFTMAX_TARGET_IS${architecture} OR (SIMDSOFTMAX_ISAS AND NOT name IN_LIST SIMDSOFTMAX_ISAS))
    return()
  endif()
  # -O2 in every configuration: what -O3 would unroll is unrolled in the source, for half the time to compile.
  # Below -O2 inline functions of the standard headers stay out of line, in this ISA's instructions, and the linker
  # may keep that copy for the whole program; tests/symbols/isa_object.cmake checks that there are none.
  # Without exceptions there is no weak reference to the code that unwinds them either.
  set(common_flags -O2 -fno-exceptions)
  if(SIMDSOFTMAX_SANITIZE MATCHES undefined)
    # Half of the time that instrumented kernels take to compile; what they find, addresses show too.
    list(APPEND common_flags -fno-sanitize=null,pointer-overflow)
  endif()
  if(SIMDSOFTMAX_SANITIZED_ISAS AND NOT name IN_LIST SIMDSOFTMAX_SANITIZED_ISAS)
    list(APPEND common_flags -fno-sanitize=all)
  endif()
  set(source ${PROJECT_SOURCE_DIR}/kernels/isa/${name}.cpp)
  set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${common_flags};${ARGN}")
  target_sources(simdsoftmax_isas PRIVATE ${source})
  string(TOUPPER ${name} upper)
  set(simdsoftmax_isas ${simdsoftmax_isas} ${name} PARENT_SCOPE)
  set(isa_definitions ${isa_definitions} SIMDSOFTMAX_HAVE_${upper}=1 PARENT_SCOPE)
endfunction()

# gcc 12 takes the deliberately undefined registers in its own AVX-512 header for mistakes.
set(undefined_registers $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)

simdsoftmax_isa(sse2   __x86_64__)
simdsoftmax_isa(avx2   __x86_64__  -mavx2 -mfma -mf16c)
simdsoftmax_isa(avx512 __x86_64__  -mavx2 -mfma -mf16c -mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl ${undefined_registers})
simdsoftmax_isa(neon   __aarch64__)

if(NOT simdsoftmax_isas)
  message(FATAL_ERROR "simdsoftmax has no kernels for this processor: ${CMAKE_SYSTEM_PROCESSOR}")
endif()
message(STATUS "simdsoftmax kernels: ${simdsoftmax_isas}")
