"""The registry as a ZenML stack component, so that ZenML's own commands list models and versions.

    zenml model-registry flavor register pipelines.model_registry_flavor.RegistryFlavor
    zenml model-registry register registry --flavor=bentoline --location=s3://bucket/prefix
    zenml model-registry models list-versions iris

A version comes from training only, and is never changed or taken away: what would do so says why it
does not. Its stage may be set; that is a promotion, by the same gates and with the same audit.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, cast

from zenml.config.global_config import GlobalConfiguration
from zenml.model_registries.base_model_registry import (
    BaseModelRegistry,
    BaseModelRegistryConfig,
    BaseModelRegistryFlavor,
    ModelRegistryModelMetadata,
    ModelVersionStage,
    RegisteredModel,
    RegistryModelVersion,
)

from pipelines.promotion import promote
from tabular.bundle import load_bundle
from tabular.errors import ConfigError
from tabular.predictor import Predictor
from tabular.registry import Registry, open_registry
from tabular.versions.stages import wanted_stages

NAME = "bentoline"
FORMAT = "bentoline bundle"


class RegistryConfig(BaseModelRegistryConfig):
    """Where the registry is: a folder, or s3://bucket/prefix.

    `public_key` is a PEM file that every version which is used must verify by, "" for none.
    """

    location: str
    public_key: str = ""


class ZenmlRegistry(BaseModelRegistry):
    """`tabular.registry` behind ZenML's names: a problem is a registered model."""

    @property
    def config(self) -> RegistryConfig:
        """The component's configuration."""
        return cast(RegistryConfig, self._config)

    @property
    def registry(self) -> Registry:
        """The registry of that location."""
        key = self.config.public_key
        return open_registry(self.config.location, public_key=Path(key) if key else None)

    def list_models(
        self, name: str | None = None, metadata: dict[str, str] | None = None
    ) -> list[RegisteredModel]:
        """The problems that have a version, and match what is given."""
        wanted = (metadata or {}).items()
        models = [self.get_model(known) for known in self.registry.problems()]
        return [
            model
            for model in models
            if name in (None, model.name) and wanted <= (model.metadata or {}).items()
        ]

    def get_model(self, name: str) -> RegisteredModel:
        """A problem: its newest version's title, and its aliases.

        Raises:
            KeyError: It has no version, as ZenML's commands expect it to be said.
        """
        versions = self._versions(name)
        title = self.registry.manifest(name, versions[-1]).get("title")
        return RegisteredModel(
            name=name, description=title, metadata=self.registry.aliases(name) or None
        )

    def list_model_versions(
        self,
        name: str | None = None,
        model_source_uri: str | None = None,
        metadata: ModelRegistryModelMetadata | None = None,
        stage: ModelVersionStage | None = None,
        count: int | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        order_by_date: str | None = None,
        **kwargs: Any,  # noqa: ARG002  # ZenML's signature
    ) -> list[RegistryModelVersion]:
        """Versions that match all that is given, newest first unless `order_by_date` is asc."""
        asked = _attributes(metadata).items()
        names = [name] if name else self.registry.problems()
        found = [
            version
            for known in names
            for version in self._model_versions(known)
            if model_source_uri in (None, version.model_source_uri)
            and stage in (None, version.stage)
            and asked
            <= cast(ModelRegistryModelMetadata, version.metadata).custom_attributes.items()
            and _is_between(version.created_at, created_after, created_before)
        ]
        if order_by_date != "asc":
            found.reverse()
        return found[:count]

    def get_model_version(self, name: str, version: str) -> RegistryModelVersion:
        """One version.

        Raises:
            KeyError: There is none such, as ZenML's commands expect it to be said.
        """
        for found in self._model_versions(name):
            if found.version == version:
                return found
        raise KeyError(f"{name} has no version '{version}'; it has {self._versions(name)}.")

    def load_model_version(self, name: str, version: str, **kwargs: Any) -> Predictor:  # noqa: ARG002
        """The version's predictor, every file verified."""
        return Predictor(load_bundle(self.registry.fetch(name, version)))

    def get_model_uri_artifact_store(self, model_version: RegistryModelVersion) -> str:
        """Where the bundle lies: the registry is its own store."""
        return model_version.model_source_uri

    def update_model_version(
        self,
        name: str,
        version: str,
        description: str | None = None,
        metadata: ModelRegistryModelMetadata | None = None,
        remove_metadata: list[str] | None = None,
        stage: ModelVersionStage | None = None,
    ) -> RegistryModelVersion:
        """Promote a version to Staging or Production, by its gates; `description` says why.

        Raises:
            RefusedError: The version has not passed that alias's gates.
            ConfigError: Something else of the version was to be changed.
        """
        is_changed = bool(_attributes(metadata) or remove_metadata)
        if is_changed or stage not in (ModelVersionStage.STAGING, ModelVersionStage.PRODUCTION):
            _never(
                "a version is never changed; --stage Staging or Production promotes it by its "
                "gates, --description says why, and run.py --rollback goes back"
            )
        promote(
            self.registry,
            name,
            version,
            stage.value.lower(),
            store=Path(GlobalConfiguration().config_directory),
            why=description or "promoted by ZenML's model-registry command",
        )
        return self.get_model_version(name, version)

    def register_model(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a problem appears with its first version."""
        _never("a model appears with its first version; train it by run.py --train")

    def register_model_version(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a version has to pass its gates."""
        _never("a version comes from training, where its gates judge it; use run.py --train")

    def update_model(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: what is said of a problem stands in its YAML."""
        _never("a model's title stands in its problem's YAML; edit it there, and train")

    def delete_model(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: servers follow the aliases."""
        _never("a model is never deleted, as servers may follow its aliases")

    def delete_model_version(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a rollback may need it."""
        _never("a version is never deleted, as a rollback may need it and the audit names it")

    def _versions(self, name: str) -> list[str]:
        versions = self.registry.versions(name)
        if not versions:
            raise KeyError(f"'{name}' has no version; there are {self.registry.problems()}.")
        return versions

    def _model_versions(self, name: str) -> list[RegistryModelVersion]:
        model = self.get_model(name)
        stages = wanted_stages(self.registry, name)
        return [
            self._model_version(model, version, shown.stage) for version, shown in stages.items()
        ]

    def _model_version(
        self, model: RegisteredModel, version: str, stage: str
    ) -> RegistryModelVersion:
        manifest = self.registry.manifest(model.name, version)
        report = manifest.get("report", {})
        made = report.get("created_at")
        metrics = {name: str(one["value"]) for name, one in report.get("metrics", {}).items()}
        return RegistryModelVersion(
            registered_model=model,
            version=version,
            model_source_uri=f"{self.config.location.rstrip('/')}/{model.name}/versions/{version}",
            model_format=FORMAT,
            model_library="onnx",
            description=report.get("verdict", {}).get("sentence"),
            created_at=datetime.fromisoformat(made) if made else None,
            stage=ModelVersionStage(stage.capitalize()),
            metadata=ModelRegistryModelMetadata(
                zenml_pipeline_run_uuid=report.get("run"), **metrics
            ),
        )


class RegistryFlavor(BaseModelRegistryFlavor):
    """What ZenML registers the component by."""

    @property
    def name(self) -> str:
        """The flavor's name in a stack."""
        return NAME

    @property
    def config_class(self) -> type[RegistryConfig]:
        """The component's configuration."""
        return RegistryConfig

    @property
    def implementation_class(self) -> type[ZenmlRegistry]:
        """The component."""
        return ZenmlRegistry


def _attributes(metadata: ModelRegistryModelMetadata | None) -> dict[str, str]:
    return metadata.custom_attributes if metadata else {}


def _is_between(moment: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    """Whether a moment (UTC) lies after one and before another; ZenML gives both without a zone."""
    if moment is None:
        return after is None and before is None
    moment = moment.replace(tzinfo=None)
    return (after is None or moment > after) and (before is None or moment < before)


def _never(sentence: str) -> NoReturn:
    raise ConfigError(f"the bentoline registry: {sentence}. Nothing was changed.")
