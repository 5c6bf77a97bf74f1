# SPDX-License-Identifier: Apache-2.0
# Headers, both libraries, a CMake package and a pkg-config file.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/simdsoftmax)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/simdsoftmax DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  PATTERN "*.md" EXCLUDE)
install(TARGETS simdsoftmax_static simdsoftmax_shared EXPORT simdsoftmaxTargets)
install(EXPORT simdsoftmaxTargets NAMESPACE simdsoftmax:: DESTINATION ${package_dir})

if(BUILD_SHARED_LIBS)
  set(default_kind shared)
else()
  set(default_kind static)
endif()
configure_package_config_file(cmake/simdsoftmaxConfig.cmake.in ${PROJECT_BINARY_DIR}/simdsoftmaxConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/simdsoftmaxConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/simdsoftmaxConfig.cmake ${PROJECT_BINARY_DIR}/simdsoftmaxConfigVersion.cmake
  DESTINATION ${package_dir})

# The file finds its prefix from its own place, so that an installed tree can be moved.
file(RELATIVE_PATH prefix_from_pc
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
if(openmp)
  list(JOIN OpenMP_CXX_FLAGS " " pc_private_flags)
endif()
configure_file(cmake/simdsoftmax.pc.in ${PROJECT_BINARY_DIR}/simdsoftmax.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/simdsoftmax.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
