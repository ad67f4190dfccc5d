"""Runs the suite.

run.py --list                                the names of all cases, as JSON
run.py ext4|tmpfs|mount DIRECTORY [NAME…]    runs them in a directory, as root; a line of JSON for each
"""

import json
import os
import sys

import attributes, directories, files, names, paths, special  # They add their cases.
from differences import DIFFERENCES, VARIES
from harness import cases, run_case

if sys.argv[1] == '--list':
    print(json.dumps(list(cases)))
else:
    differences = DIFFERENCES[sys.argv[1]]
    for index, name in enumerate(cases):
        if sys.argv[3:] and name not in sys.argv[3:]:
            continue
        actual = run_case(name, os.path.join(sys.argv[2], f'case-{index}'))
        expected, _ = differences.get(name, (cases[name][1], ''))
        if expected is VARIES:
            expected = actual
        print(json.dumps({'name': name, 'expected': expected, 'actual': actual}), flush=True)
