"""What the report prints under its figures: each measure's formula and source."""

from __future__ import annotations

FORMULAS: tuple[tuple[str, str, str], ...] = (
    (
        "Accuracy, sensitivity, specificity over readers",
        "mean of readers; v = MS(R) + R max(Cov2, 0), SE = sqrt(v/R), df = v^2/(MS(R)^2/(R-1)); Cov2 by "
        "leaving one "
        "case out",
        "Obuchowski and Rockette 1995; Hillis, Obuchowski and Berbaum, Acad Radiol 2011;18:129-142; Hillis, "
        "Stat Med "
        "2014;33:330-360",
    ),
    (
        "Accuracy, sensitivity, specificity of one reader",
        "Wilson: |k/n - p| <= z sqrt(p(1-p)/n); exact: Clopper-Pearson; effective n where cases have "
        "several items",
        "Wilson 1927; Clopper and Pearson 1934; Korn and Graubard 1998",
    ),
    (
        "Balanced accuracy",
        "(sensitivity + specificity)/2",
        "the area under the one-point ROC curve of the decisions",
    ),
    (
        "d' and criterion",
        "d' = z(H) - z(F), c = -(z(H) + z(F))/2; H = (hits + 1/2)/(n + 1), F likewise",
        "Macmillan and Creelman 2005; Hautus 1995; Gourevitch and Galanter 1967",
    ),
    (
        "Area under the empirical ROC curve",
        "mean over pairs of [synthetic > real] + [equal]/2; variance S10/m + S01/n, interval on the logit "
        "scale",
        "Bamber 1975; DeLong, DeLong and Clarke-Pearson 1988; Obuchowski 1997 for several items to a case",
    ),
    (
        "Binormal ROC curve",
        "TPR = Phi(a + b Phi^-1(FPR)), AUC = Phi(a/sqrt(1 + b^2)), by maximum likelihood",
        "Dorfman and Alf 1969; Metz, Herman and Shen 1998",
    ),
    (
        "Area over readers",
        "Obuchowski-Rockette-Hillis for one modality, as for accuracy, against 1/2",
        "Hillis 2014",
    ),
    (
        "Equivalence",
        "two one-sided tests at level alpha of figure <= 1/2 - margin and figure >= 1/2 + margin",
        "Schuirmann 1987; one reader: exact binomial",
    ),
    ("Fleiss' kappa", "(Pa - Pe)/(1 - Pe), Pe = sum pi_k^2", "Fleiss 1971; Gwet 2014 for gaps"),
    ("Gwet's AC1", "(Pa - Pe)/(1 - Pe), Pe = sum pi_k (1 - pi_k)/(q - 1)", "Gwet 2008"),
    ("Krippendorff's alpha", "1 - Do/De", "Krippendorff 2018; Hayes and Krippendorff 2007"),
    (
        "Weighted kappa",
        "1 - sum w o / sum w p q, w = (i - j)^2 or |i - j|; mean over pairs of readers",
        "Cohen 1968; Light 1971",
    ),
    ("Within-reader standard deviation", "s_w = sqrt(sum d^2/2n)", "Bland and Altman 1996"),
    (
        "Intervals of agreement",
        "value -+ t(C-1) SE, the jackknife over C cases",
        "Efron 1982",
    ),
    (
        "Time trend",
        "mean of readers' slopes of log seconds on order, t interval over readers",
        "two-stage linear mixed model",
    ),
)
