#!/bin/sh
# man.sh PROGRAM SECTION DESCRIPTION: a man page of what PROGRAM -h says.
set -eu
name=$(basename "$1")
cat <<END
.TH $(echo "$name" | tr a-z A-Z) $2 "" checkpoint-engine
.SH NAME
$name \\- $3
.SH DESCRIPTION
.nf
END
"$1" -h | sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\\([.']\\)/\\\\\\&\\1/"
cat <<END
.fi
.SH SEE ALSO
/usr/share/doc/checkpoint\\-engine
END
