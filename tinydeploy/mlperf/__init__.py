"""MLPerf Tiny: the host's side of the application that speaks its device protocol."""
