# SPDX-License-Identifier: Apache-2.0
# Toolchain: Debian's cross compiler for AArch64; what it builds runs under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)

# Debian has no cross package of these two, but xsimd is headers alone and GoogleTest comes as sources too.
set(host_xsimd /usr/lib/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu/cmake/xsimd)
if(NOT xsimd_ROOT AND EXISTS ${host_xsimd})
  set(xsimd_DIR ${host_xsimd} CACHE PATH "")
endif()
set(FETCHCONTENT_SOURCE_DIR_GTEST /usr/src/googletest CACHE PATH "")
