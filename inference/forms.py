"""Forms of the admin: an endpoint's key can be written, never read."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from inference.models import EngineEndpoint

KEY_MAX = 4000
SPOKEN = ("accepts_extras", "limit_field", "asks_usage", "sends_seed")
BOUNDS = (
    "has_scheduler",
    "in_flight",
    "connect_timeout_s",
    "first_token_timeout_s",
    "idle_timeout_s",
    "total_timeout_s",
    "queue_timeout_s",
)


class EndpointForm(forms.ModelForm):
    """An endpoint; its key field is empty whatever is stored."""

    key = forms.CharField(
        required=False,
        max_length=KEY_MAX,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "size": 60}),
        help_text=_("Sent as bearer token. Stored encrypted; it can be replaced or removed here, but never read."),
    )
    clear_key = forms.BooleanField(required=False, label=_("Remove the stored key"))

    class Meta:
        model = EngineEndpoint
        fields = [*SPOKEN, *BOUNDS, "name", "kind", "base_url", "enabled", "daily_cap"]
        labels = {name: name.removesuffix("_s").replace("_", " ").capitalize() + " (s)" for name in BOUNDS[2:]}
        widgets = {"base_url": forms.TextInput(attrs={"size": 60})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = bool(self.instance.sealed_key)
        self.fields["key"].widget.attrs["placeholder"] = _("set") if stored else _("not set")
        self.fields["clear_key"].disabled = not stored

    def clean_key(self) -> str:
        key = self.cleaned_data["key"].strip()
        if any(not 33 <= ord(letter) <= 126 for letter in key):
            raise forms.ValidationError(_("A key holds no spaces, line breaks or accents: copy it again."))
        return key

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("key") and cleaned.get("clear_key"):
            self.add_error("clear_key", _("Either replace the key or remove it."))
        return cleaned

    def save(self, commit: bool = True) -> EngineEndpoint:
        if self.cleaned_data["key"] or self.cleaned_data["clear_key"]:
            self.instance.set_key(self.cleaned_data["key"])
        return super().save(commit)
