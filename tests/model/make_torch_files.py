# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes torch_files/ anew: small files as PyTorch itself saves them, for test_torch_files.cpp and the fuzzer's corpus.

Nothing else needs PyTorch, of which any version from 1.13 on will do. Usage: tests/model/make_torch_files.py
"""

import argparse
import collections
import copy
import pathlib

import torch

OUT = pathlib.Path(__file__).parent / "torch_files"


def save(name, what, **options):
    # The name inside the archive is that of the file.
    torch.save(what, OUT / (name + ".pth"), **options)


def tensors():
    plain = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    numbers = torch.arange(12, dtype=torch.float32)
    found = collections.OrderedDict()
    found["plain"] = plain
    found["turned"] = plain.t()
    found["middle"] = numbers[3:7]
    found["steps"] = numbers[1::3]
    found["columns"] = numbers.reshape(2, 2, 3).permute(2, 0, 1)
    found["wide"] = torch.tensor([7.0]).expand(3)
    found["empty"] = torch.zeros(0, 4)
    found["scalar"] = torch.tensor(5.0, dtype=torch.float64)
    found["bfloat16"] = torch.tensor([1.0, -2.0], dtype=torch.bfloat16)
    found["half"] = torch.tensor([1.0, -2.0], dtype=torch.float16)
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        found[str(dtype)[6:]] = torch.tensor([1, 2, 3], dtype=dtype)
    found["bool"] = torch.tensor([True, False])
    return found


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(2, 1)
        with torch.no_grad():
            self.line.weight.copy_(torch.tensor([[1.0, 2.0]]))
            self.line.bias.copy_(torch.tensor([3.0]))

    def forward(self, x):
        return self.line(x)


OUT.mkdir(exist_ok=True)
for protocol in 2, 3, 4, 5:
    save(f"protocol{protocol}", tensors(), pickle_protocol=protocol)

module = Module()
state = module.state_dict()
save("module", state)  # with _metadata
parameters = dict(module.named_parameters())
save("parameters", parameters)
attributes = copy.deepcopy(parameters)
attributes["line.weight"].note = "an attribute"
save("parameters_with_state", attributes, pickle_protocol=4)
noted = {name: tensor.clone() for name, tensor in state.items()}
noted["line.bias"].note = {"an": "attribute"}
save("tensor_with_state", noted)

trained = copy.deepcopy(module)
optimizer = torch.optim.Adam(trained.parameters())
trained(torch.ones(1, 2)).sum().backward()
optimizer.step()
beside = {
    "epoch": 3,
    "loss": 0.25,
    "best": None,
    "args": argparse.Namespace(lr=1e-3, sizes=[1, 2]),
    "sizes": torch.Size([2, 1]),
    "device": torch.device("cpu"),
    "dtype": torch.bfloat16,
    "seen": {"a", "b"},
    "bytes": b"abc",
    "history": collections.defaultdict(list, {"loss": [1.0, 0.5]}),
    "random": torch.arange(3, dtype=torch.uint8),
    "optimizer": optimizer.state_dict(),
}
for protocol in 2, 5:
    save(f"checkpoint{protocol}", {"state_dict": state, "ema": state, **beside}, pickle_protocol=protocol)
save("model", {"model": state})
save("other_name", {"generator": state, "step": 1})
save("two", {"generator": state, "discriminator": {"w": torch.ones(1)}})

save("whole_module", torch.nn.Linear(1, 1))
save("before_1_6", state, _use_new_zipfile_serialization=False)
torch.jit.save(torch.jit.script(Module()), str(OUT / "script.pth"))
