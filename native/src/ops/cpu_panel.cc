#include "ops/cpu_panel.h"

namespace driftless {

PanelKernel panel_kernel_for(const PanelPlan& plan, int64_t pixels) {
  static constexpr PanelKernel kOne[] = {panel_kernel<1, 1>, panel_kernel<2, 1>, panel_kernel<3, 1>,
                                         panel_kernel<4, 1>, panel_kernel<5, 1>, panel_kernel<6, 1>,
                                         panel_kernel<7, 1>, panel_kernel<8, 1>};
  static constexpr PanelKernel kTwo[] = {panel_kernel<1, 2>, panel_kernel<2, 2>,
                                         panel_kernel<3, 2>, panel_kernel<4, 2>,
                                         panel_kernel<5, 2>, panel_kernel<6, 2>};
  static constexpr PanelKernel kThree[] = {panel_kernel<1, 3>, panel_kernel<2, 3>,
                                           panel_kernel<3, 3>, panel_kernel<4, 3>};
  const PanelKernel* kernels = plan.vectors == 1 ? kOne : plan.vectors == 2 ? kTwo : kThree;
  return kernels[pixels - 1];
}

}  // namespace driftless
