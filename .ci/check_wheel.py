"""What the wheel contains, and that all of it can be imported with nothing but the hard dependencies.

But for the tests that every store passes: who runs them has pytest.
"""

import importlib
import pkgutil
import sys
import zipfile

import responses_shim

(wheel,) = sys.argv[1:]
names = zipfile.ZipFile(wheel).namelist()
tops = {name.split("/")[0] for name in names}
assert "responses_shim/py.typed" in names, "py.typed is missing"
assert tops == {"responses_shim", f"responses_shim-{responses_shim.__version__}.dist-info"}, tops
assert "site-packages" in responses_shim.__file__, responses_shim.__file__

for public in responses_shim.__all__:
    getattr(responses_shim, public)
TESTS = "responses_shim.stores.suite"


def unreadable(name: str) -> None:
    """Raise what kept a package from being searched, unless that is the tests' missing pytest."""
    if name != TESTS:
        raise


found = pkgutil.walk_packages(responses_shim.__path__, "responses_shim.", onerror=unreadable)
modules = [module.name for module in found if not module.name.startswith(TESTS)]
for name in modules:
    if not name.endswith("__main__"):
        importlib.import_module(name)
assert {f"responses_shim/stores/lua/{name}.lua" for name in ("tree", "operations", "bounds")} <= {*names}
print(f"{wheel}: {len(names)} files, {len(modules)} modules, all import")
