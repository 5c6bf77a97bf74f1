/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMDSOFTMAX_VERSION_H
#define SIMDSOFTMAX_VERSION_H

/* Semantic versioning. CMakeLists.txt reads the version of the package from these three lines. */
#define SIMDSOFTMAX_VERSION_MAJOR 0
#define SIMDSOFTMAX_VERSION_MINOR 1
#define SIMDSOFTMAX_VERSION_PATCH 0

#endif
