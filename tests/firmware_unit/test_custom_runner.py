"""Reads the output of check.cpp for `pio test`: TEST name, PASS or FAIL file:line text; DONE at the end."""

import click
from platformio.public import TestCase, TestCaseSource, TestRunnerBase, TestStatus
from platformio.test.exception import UnitTestError


class CustomTestRunner(TestRunnerBase):
    def stage_testing(self):
        self.test_name = ""
        self.done = False
        super().stage_testing()
        if not (self.done or self.options.without_testing):
            raise UnitTestError(f"the program ended in {self.test_name or 'its start-up'}")

    def on_testing_line_output(self, line):
        click.echo(line, nl=False)
        word, _, rest = line.strip().partition(" ")
        if word == "TEST":
            self.test_name = rest
        elif word == "PASS":
            self.test_suite.add_case(TestCase(self.test_name, TestStatus.PASSED))
        elif word == "FAIL":
            place, _, message = rest.partition(" ")
            file, _, number = place.rpartition(":")
            source = TestCaseSource(file, int(number))
            self.test_suite.add_case(TestCase(self.test_name, TestStatus.FAILED, message, source=source))
        elif word == "DONE":
            self.done = True
            self.test_suite.on_finish()
