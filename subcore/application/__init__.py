"""Applications: many launches, copies and events (`spec`), simulated (`kernels`), played (`run`), shown (`report`)."""
