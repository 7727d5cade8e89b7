"""Rules on the front matter of the README, which loaders believe.

Names of configs and splits, columns with their category names, numbers of rows, and the digest that
keeps the `datasets` cache from serving old rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataset_scripts.column_rules import wrong_yaml
from dataset_scripts.findings import Findings
from dataset_scripts.schema import CONFIGS, SPLITS, shard_pattern
from emonet_face.front_matter import README


class Card:
    """What the front matter says of each config.

    Attributes:
        configs: config -> its entry under `configs`.
    """

    def __init__(self, front: Mapping[str, Any], findings: Findings) -> None:
        self._findings = findings
        self.configs = self._entries(front, "configs")
        self._infos = self._entries(front, "dataset_info")

    def check(self, config: str) -> None:
        """What can be said of one config without a look at its shards."""
        entry, info = self.configs.get(config), self._infos.get(config)
        for key, value in (("configs", entry), ("dataset_info", info)):
            if value is None:
                self._error("card_config", config, f"{key} has no entry for this config")
        expected = [{"split": SPLITS[config], "path": shard_pattern(config)}]
        if entry is not None and entry.get("data_files") != expected:
            text = f"data_files is {entry.get('data_files')!r}, must be {expected!r}"
            self._error("card_split", config, text)
        if info is None:
            return
        names = [split.get("name") for split in self._splits(config)]
        if names != [SPLITS[config]]:
            text = f"dataset_info has the splits {names}, must be {[SPLITS[config]]}"
            self._error("card_split", config, text)
        wrong = wrong_yaml(info.get("features"), config)
        if wrong:
            self._error("card_features", config, f"the features in dataset_info: {wrong}")

    def check_default(self) -> None:
        """`load_dataset` without a config name takes the one that is marked."""
        expected = [config for config in CONFIGS if config in self.configs][:1]
        marked = [name for name, entry in self.configs.items() if entry.get("default")]
        if marked != expected:
            text = f"the default config is {marked}, should be {expected}"
            self._findings.warning("card_config", "", README, text)

    def check_unknown(self) -> None:
        """Configs that are none of ours are left alone, but not unseen."""
        for config in self.configs.keys() - set(CONFIGS):
            text = "is no config of EmoNet-Face: not looked at"
            self._findings.warning("card_config", config, README, text)

    def check_rows(self, config: str, n_rows: int) -> None:
        """The number of rows that the front matter promises."""
        for split in self._splits(config):
            if split.get("num_examples") != n_rows:
                text = (
                    f"num_examples of {split.get('name')!r} is {split.get('num_examples')}, the"
                    f" shards hold {n_rows}"
                )
                self._error("num_examples", config, text)

    def check_digest(self, config: str, digest: str) -> bool:
        """Whether the shards are those that the front matter was written for."""
        said = self.configs.get(config, {}).get("description")
        same = f"sha256:{digest}" in f"{said}"
        if config in self.configs and not same:
            text = f"description is {said!r}, the shards have 'sha256:{digest}': build again"
            self._error("shard_digest", config, text)
        return same

    def _entries(self, front: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
        value = front.get(key, [])
        named = {}
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict) and isinstance(entry.get("config_name"), str):
                named[entry["config_name"]] = entry
            else:
                self._error("card_config", "", f"{key} has an entry without config_name")
        return named

    def _splits(self, config: str) -> list[dict[str, Any]]:
        listed = self._infos.get(config, {}).get("splits") or []
        return [split for split in listed if isinstance(split, dict)]

    def _error(self, rule: str, config: str, text: str) -> None:
        self._findings.error(rule, config, README, text)
