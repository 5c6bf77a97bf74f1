# SPDX-License-Identifier: Apache-2.0
# One installed tree serves find_package for both libraries, also after it was moved, and for projects without C++.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
install_to(${SCRATCH}/first_prefix)
file(RENAME ${SCRATCH}/first_prefix ${SCRATCH}/prefix)
set(package -DCMAKE_PREFIX_PATH=${SCRATCH}/prefix)

foreach(shared IN ITEMS ON OFF)
  build(all ${source_dir}/examples ${SCRATCH}/examples_${shared} ${package} -DBUILD_SHARED_LIBS=${shared})
  foreach(program IN ITEMS first_program first_program_c)
    expect_softmax(${SCRATCH}/examples_${shared}/${program})
    expect_shared(${SCRATCH}/examples_${shared}/${program} ${shared})
  endforeach()
endforeach()

build(all ${CMAKE_CURRENT_LIST_DIR}/c_only ${SCRATCH}/c_only ${package})
expect_softmax(${SCRATCH}/c_only/first_program_c)
expect_shared(${SCRATCH}/c_only/first_program_c ON)
