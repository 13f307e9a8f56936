"""`rollcall doctor`: whether an installation is as it must be, and what to mend. Looks only; changes nothing."""
