/* SPDX-License-Identifier: Apache-2.0 */
#include <simdsoftmax/simdsoftmax.h>
#include <stdio.h>

int main(void) {
  float logits[2][4] = {{1, 2, 3, 4}, {-1, 0, 1, 9}};
  simdsoftmax_status status =
      simdsoftmax_softmax_rows(logits, SIMDSOFTMAX_F32, 4, logits, SIMDSOFTMAX_F32, 4, 2, 4, NULL);
  if (status != SIMDSOFTMAX_OK) {
    puts(simdsoftmax_status_text(status));
    return 1;
  }
  for (int row = 0; row < 2; ++row) {
    for (int col = 0; col < 4; ++col) printf("%.6f\n", (double)logits[row][col]);
  }
  return 0;
}
