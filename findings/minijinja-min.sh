#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# minijinja 2.12.0: `min` and `max` of texts heed the case of letters, though its own `sort` does not, and in Jinja2 3.1.6 neither does
# unless it is asked to. `names|sort|first` and `names|min` are two names.
. "${BASH_SOURCE%/*}/fetch"
pypi minijinja==2.12.0 jinja2==3.1.6

text='{% set names = ["B", "a"] %}{{ names|sort|first }} {{ names|min }} {{ names|max }}'
same 'Jinja2 3.1.6' 'a a B' "$(python/bin/python -c 'import jinja2, sys; print(jinja2.Template(sys.argv[1]).render())' "$text")"
same 'minijinja 2.12.0' 'a B a' "$(python/bin/python -c 'import minijinja, sys; print(minijinja.Environment().render_str(sys.argv[1]))' "$text")"
