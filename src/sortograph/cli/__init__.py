"""The command line: parse → one call of `sortograph.api` → show. Results on stdout, the rest on stderr."""
