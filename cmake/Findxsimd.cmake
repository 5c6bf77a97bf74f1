# SPDX-License-Identifier: Apache-2.0
# xsimd's headers, wherever they are. The CMake package that it installs is not used: its version file refuses every
# other major version, some builds of it ask for further libraries, and Debian's does not serve cross compilers.
# Sets xsimd_INCLUDE_DIR and xsimd_VERSION.
find_path(xsimd_INCLUDE_DIR xsimd/xsimd.hpp)
mark_as_advanced(xsimd_INCLUDE_DIR)

if(xsimd_INCLUDE_DIR)
  file(STRINGS ${xsimd_INCLUDE_DIR}/xsimd/config/xsimd_config.hpp xsimd_VERSION
    REGEX "#define XSIMD_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
  list(TRANSFORM xsimd_VERSION REPLACE "^.* " "")
  list(JOIN xsimd_VERSION "." xsimd_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(xsimd REQUIRED_VARS xsimd_INCLUDE_DIR VERSION_VAR xsimd_VERSION)
