"""What pyproject.toml cannot say: the native operators are compiled into the wheel."""

import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithOperators(build_py):
    """Compiles the native operators into the package; without a compiler the portable ones remain."""

    def run(self):
        super().run()
        sys.path.insert(0, str(ROOT))
        from fcis_tf.ops.build import BuildError, build
        from fcis_tf.ops.native import LIBRARY

        try:
            build((ROOT if self.editable_mode else Path(self.build_lib)) / LIBRARY.relative_to(ROOT))
        except BuildError as error:
            print(f"WARNING: {error}", file=sys.stderr)


class PlatformDistribution(Distribution):
    """Not of Python files alone."""

    def has_ext_modules(self):
        return True


class PlatformWheel(bdist_wheel):
    """A wheel for this platform, but for any Python: the library does not link to Python."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


setup(distclass=PlatformDistribution, cmdclass={"build_py": BuildWithOperators, "bdist_wheel": PlatformWheel})
