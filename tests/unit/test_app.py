"""The application as a Serve config file asks for it."""

from __future__ import annotations

import pytest

from services.common.errors import ConfigurationError

# What ray warns of when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_the_arguments_of_a_serve_config_reach_every_deployment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from services.app import application

    monkeypatch.setenv("NESYCD_STUDENT__BACKEND", "scripted")
    bound = application(
        {
            "student": {"default_adapter": "bbh@v2", "max_queued": 7},
            "serve": {"student_replicas": 2, "student_max_replicas": 3},
        }
    )._bound_deployment
    student, knowledge, settings = bound.init_args
    for deployment in (student, knowledge):
        [of_deployment] = deployment._bound_deployment.init_args
        assert of_deployment is settings
    assert settings.student.backend == "scripted"
    assert settings.student.default_adapter == "bbh@v2"
    config = student._bound_deployment._deployment_config
    assert config.max_queued_requests == 7
    assert (config.autoscaling_config.min_replicas, config.autoscaling_config.max_replicas) == (
        2,
        3,
    )


def test_an_argument_that_is_no_setting_names_section_and_value() -> None:
    from services.app import application

    with pytest.raises(ConfigurationError, match=r"^argument student\.adapter='bbh': Extra inputs"):
        application({"student": {"adapter": "bbh"}})
