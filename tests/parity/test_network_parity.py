"""The auxiliary network alone gives the reference numbers."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from dafnet_plugin.artifacts.reference import network_state_from_reference
from dafnet_plugin.network import AuxiliaryNetwork
from tests.parity.conftest import Golden, network_config

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def test_normaliser_statistics(golden: Golden) -> None:
    for case in golden.cases.get("aux", []):
        if case["norm"] == "LN":
            continue
        prefix = f"aux.{case['norm']}"
        network = _network(case)
        expected = golden.under(f"{prefix}.state.norm_layer")
        network.train()
        with torch.no_grad():
            for key in sorted(k for k in golden.under(prefix) if k.startswith("stat_x")):
                network.normaliser(golden.tensors[f"{prefix}.{key}"])
        ours = network.normaliser.state_dict()
        for name in set(expected) - {"weight", "bias"}:
            assert_close(ours[name], expected[name], **TOLERANCE, msg=lambda m, n=name: f"{n}: {m}")


def test_three_calls_in_sequence(golden: Golden) -> None:
    for case in golden.cases.get("aux", []):
        prefix = f"aux.{case['norm']}"
        network = _network(case)
        network.load_state_dict(
            network_state_from_reference(golden.under(f"{prefix}.state")), strict=True
        )
        network.eval()
        past, representations = None, None
        for number, step in enumerate(case["steps"]):
            expected = golden.under(f"{prefix}.step{number}")
            lens = torch.tensor(step["edit_lens"])
            with torch.no_grad():
                (out,), past = network([expected["x"]], [lens], [step["mode"]], past)
            share = (out.update_scale / lens)[out.segment][:, None]
            delta = out.delta * share
            assert_close(out.x.T @ delta, expected["delta_weight"], **TOLERANCE)
            if case["edit_bias"]:
                assert_close(delta.sum(0), expected["delta_bias"], **TOLERANCE)
            assert_close(out.past_update_scale, expected["past_update_scale"], **TOLERANCE)
            new = out.representations
            representations = (
                new
                if representations is None
                else tuple(torch.cat(pair) for pair in zip(representations, new, strict=True))
            )
            for layer, rows in enumerate(representations):
                assert_close(rows[None], expected[f"reps{layer}"], **TOLERANCE)


def _network(case: dict) -> AuxiliaryNetwork:
    config = network_config(case, case["norm"])
    return AuxiliaryNetwork(case["x_dim"], case["delta_dim"], case["n_modes"], config)
