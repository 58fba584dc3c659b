// The only interrupt of this firmware: the counter's register has wrapped.
#pragma once

extern "C" void tinydeploy_count_wrap();

namespace tinydeploy {

void enable_interrupts();

}  // namespace tinydeploy
