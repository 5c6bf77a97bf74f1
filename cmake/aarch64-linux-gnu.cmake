# SPDX-License-Identifier: Apache-2.0
# Toolchain: Debian's cross compiler for AArch64; what it builds runs under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)

# Debian has no cross package of GoogleTest, but its sources.
set(FETCHCONTENT_SOURCE_DIR_GTEST /usr/src/googletest CACHE PATH "")
