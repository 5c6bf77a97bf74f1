# SPDX-License-Identifier: Apache-2.0
# What the system has comes first; else a pinned release is fetched and checked against its hash.
# Each simdsoftmax_need_*() may be called from any directory that needs the dependency.
include(FetchContent)
if(POLICY CMP0135)
  cmake_policy(SET CMP0135 NEW)  # fetched files carry the time of fetching
endif()
set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)  # the settings below reach old projects too

# Target simdsoftmax_xsimd.
function(simdsoftmax_need_xsimd)
  find_package(xsimd 8.1 QUIET MODULE)
  if(NOT xsimd_FOUND)
    message(STATUS "xsimd 8.1 or newer not found: fetching 14.3.0")
    FetchContent_Declare(xsimd
      URL https://github.com/xtensor-stack/xsimd/archive/refs/tags/14.3.0.tar.gz
      URL_HASH SHA256=b3d50e7a73fbf4642ceef30131c93414901d69eee41c2a5302db650b03e2c792
      SOURCE_SUBDIR headers-only)  # no such folder: its CMake project, which would install itself, stays out
    FetchContent_MakeAvailable(xsimd)
    set(xsimd_VERSION 14.3.0)
    set(xsimd_INCLUDE_DIR ${xsimd_SOURCE_DIR}/include)
  endif()
  message(STATUS "xsimd ${xsimd_VERSION}: ${xsimd_INCLUDE_DIR}")
  add_library(simdsoftmax_xsimd INTERFACE)
  target_include_directories(simdsoftmax_xsimd SYSTEM INTERFACE ${xsimd_INCLUDE_DIR})
endfunction()

# Target GTest::gtest_main.
function(simdsoftmax_need_googletest)
  find_package(GTest 1.12 QUIET CONFIG)
  if(NOT GTest_FOUND)
    message(STATUS "GoogleTest 1.12 or newer not found: fetching 1.14.0")
    set(BUILD_GMOCK OFF)
    set(INSTALL_GTEST OFF)
    FetchContent_Declare(GTest
      URL https://github.com/google/googletest/archive/refs/tags/v1.14.0.tar.gz
      URL_HASH SHA256=8ad598c73ad796e0d8280b082cebd82a630d73e73cd3c70057938a6501bba5d7)
    FetchContent_MakeAvailable(GTest)
  endif()
endfunction()

# Target benchmark::benchmark.
function(simdsoftmax_need_benchmark)
  find_package(benchmark 1.7 QUIET CONFIG)
  if(NOT benchmark_FOUND)
    message(STATUS "Google Benchmark 1.7 or newer not found: fetching 1.8.3")
    set(BENCHMARK_ENABLE_TESTING OFF)
    set(BENCHMARK_ENABLE_WERROR OFF)
    set(BENCHMARK_ENABLE_INSTALL OFF)
    set(BENCHMARK_INSTALL_DOCS OFF)
    FetchContent_Declare(benchmark
      URL https://github.com/google/benchmark/archive/refs/tags/v1.8.3.tar.gz
      URL_HASH SHA256=6bc180a57d23d4d9515519f92b0c83d61b05b5bab188961f08a9d7047293e6ce)
    FetchContent_MakeAvailable(benchmark)
  endif()
endfunction()

# Target nlohmann_json::nlohmann_json.
function(simdsoftmax_need_json)
  find_package(nlohmann_json 3.7 QUIET CONFIG)
  if(NOT nlohmann_json_FOUND)
    message(STATUS "nlohmann_json 3.7 or newer not found: fetching 3.11.3")
    FetchContent_Declare(nlohmann_json
      URL https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz
      URL_HASH SHA256=d6c65aca6b1ed68e7a182f4757257b107ae403032760ed6ef121c9d55e81757d)
    FetchContent_MakeAvailable(nlohmann_json)  # installs nothing as a subproject
  endif()
endfunction()
