"""Times measured on real cards, the suites that say which kernel each belongs to, and the runs beside them."""
