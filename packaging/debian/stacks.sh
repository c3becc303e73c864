# Takes our line out of every PAM stack, and refuses to go on where it could not: a line whose module or daemon is missing
# denies every login.
take_out_of_stacks() {
	pam-auth-update --package --remove twinlock
	if command -v twinlock >/dev/null; then
		twinlock pam disable --all --yes || true # what it left is found below
	fi
	# Comments, backups and dpkg's copies are no stacks (cli/src/doctor/stack/folders.rs has the same list), unless a stack
	# includes them, as it may include files that are elsewhere: the command sees that.
	left=$(
		grep -Rls '^[^#]*pam_twinlock\.so' /etc/pam.conf /etc/pam.d /usr/lib/pam.d |
			grep -Ev '(/\.[^/]*|~|\.bak|\.orig|\.pam-old|\.(rpm|dpkg-)[a-z]*)$' ||
			if command -v twinlock >/dev/null; then
				twinlock pam status --json 2>/dev/null | sed -n 's/^ *"service": "\(.*\)",*$/the stack of \1/p'
			fi
	) || true
	[ "$left" ] || return 0
	cat >&2 <<END
$DPKG_MAINTSCRIPT_PACKAGE is not removed: these PAM stacks have a line with pam_twinlock.so, and would lock everybody out:
$left
Take those lines out, and a line "auth required pam_permit.so" behind them with them: alone it lets everybody in.
Then remove the package again. What was taken out so far stays out: "twinlock pam status".
END
	exit 1
}
