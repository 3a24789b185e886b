"""What a method can do to a network or with its output: who attends to whom, re-weighted maps, matched values, tau."""
