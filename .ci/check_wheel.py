"""What the wheel contains, and that all of it can be imported with nothing but the hard dependencies."""

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
modules = [module.name for module in pkgutil.walk_packages(responses_shim.__path__, "responses_shim.")]
for name in modules:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(f"{wheel}: {len(names)} files, {len(modules)} modules, all import")
