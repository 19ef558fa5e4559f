#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# minijinja 2.12.0 reads `5 > 3 > 1` from left to right, as (5 > 3) > 1, and that is false. In Jinja2 3.1.6 comparisons are chained as
# in Python, so it is true: a condition of a template that moves to minijinja turns around without an error.
. "${BASH_SOURCE%/*}/fetch"
pypi minijinja==2.12.0 jinja2==3.1.6

text='{{ "yes" if 5 > 3 > 1 else "no" }} {{ "yes" if 1 < 5 < 3 else "no" }}'
same 'Jinja2 3.1.6' 'yes no' "$(python/bin/python -c 'import jinja2, sys; print(jinja2.Template(sys.argv[1]).render())' "$text")"
same 'minijinja 2.12.0' 'no yes' "$(python/bin/python -c 'import minijinja, sys; print(minijinja.Environment().render_str(sys.argv[1]))' "$text")"
