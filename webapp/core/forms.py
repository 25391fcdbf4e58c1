"""How every form is drawn: `{{ form }}` and `{{ form.name.as_field_group }}` use the site's components."""

from django.forms.renderers import TemplatesSetting


class ComponentRenderer(TemplatesSetting):
    """Label, control with its unit, one sentence of help, and the error beside the field.

    A form may set ``field.unit`` ("mm", "years") on any of its fields to show the unit after the control.
    """

    form_template_name = "core/components/form.html"
    field_template_name = "core/components/field.html"
