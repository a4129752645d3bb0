"""Design-space sweeps: what to run (`spec`), one point (`point`), what is done (`journal`), who runs it (`engine`)."""
