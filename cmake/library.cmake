# SPDX-License-Identifier: Apache-2.0
# The library: compiled once, linked as simdsoftmax::static and simdsoftmax::shared.
include(GNUInstallDirs)
simdsoftmax_need_xsimd()

function(simdsoftmax_object_library name)
  add_library(${name} OBJECT ${ARGN})
  simdsoftmax_warnings(${name})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/kernels)
  # No contraction: an fma is written where it is meant, so every ISA and compiler gives the same bits.
  target_compile_options(${name} PRIVATE -ffp-contract=off -fno-math-errno)
  set_target_properties(${name} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# The kernels, for each ISA with its own flags.
simdsoftmax_object_library(simdsoftmax_isas)
target_include_directories(simdsoftmax_isas SYSTEM PRIVATE
  $<TARGET_PROPERTY:simdsoftmax_xsimd,INTERFACE_INCLUDE_DIRECTORIES>)
include(isa)

# All else; kernels/isa/ holds files of both kinds.
file(GLOB common_sources CONFIGURE_DEPENDS kernels/api/*.cpp kernels/plan/*.cpp kernels/parallel/*.cpp)
list(APPEND common_sources
  ${PROJECT_SOURCE_DIR}/kernels/isa/cpu.cpp ${PROJECT_SOURCE_DIR}/kernels/isa/registry.cpp)
simdsoftmax_object_library(simdsoftmax_common ${common_sources})
target_compile_definitions(simdsoftmax_common PRIVATE ${isa_definitions})

set(openmp)
if(SIMDSOFTMAX_OPENMP)
  find_package(OpenMP COMPONENTS CXX)
  if(OpenMP_CXX_FOUND)
    set(openmp OpenMP::OpenMP_CXX)
  else()
    message(WARNING "OpenMP not found: every call will run on the caller's thread")
  endif()
endif()
target_link_libraries(simdsoftmax_common PRIVATE ${openmp})

foreach(kind IN ITEMS static shared)
  set(library simdsoftmax_${kind})
  string(TOUPPER ${kind} KIND)
  add_library(${library} ${KIND} $<TARGET_OBJECTS:simdsoftmax_common> $<TARGET_OBJECTS:simdsoftmax_isas>)
  add_library(simdsoftmax::${kind} ALIAS ${library})
  target_link_libraries(${library} PRIVATE ${openmp})
  target_include_directories(${library} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${library} INTERFACE cxx_std_17)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME simdsoftmax EXPORT_NAME ${kind} LINKER_LANGUAGE CXX)
endforeach()

if(BUILD_SHARED_LIBS)
  add_library(simdsoftmax::simdsoftmax ALIAS simdsoftmax_shared)
else()
  add_library(simdsoftmax::simdsoftmax ALIAS simdsoftmax_static)
endif()

# While the major version is 0, every minor version may change the ABI.
set_target_properties(simdsoftmax_shared PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
# Hidden visibility does not cover templates of the standard library; the linker's list does.
set(exports ${PROJECT_SOURCE_DIR}/cmake/exports.map)
target_link_options(simdsoftmax_shared PRIVATE LINKER:--version-script=${exports})
set_property(TARGET simdsoftmax_shared PROPERTY LINK_DEPENDS ${exports})
