"""What the words of a report mean, for those who meet them first; the page shows them as tooltips and as a list."""

# the numbers behind a verdict: what each is called, and its form; keys with _low and _high are its interval
EVIDENCE = {
    "ratio": ("labels of the most frequent class over those of the rarest", "times"),
    "head_recall": ("recall of the head", "percent"),
    "tail_recall": ("recall of the tail", "percent"),
    "recall_gap": ("recall, head minus tail, in points", "points"),
    "head_precision": ("precision of the head", "percent"),
    "tail_precision": ("precision of the tail", "percent"),
    "precision_gap": ("precision, head minus tail, in points", "points"),
    "tail_labels": ("labels in the tail", "count"),
    "tail_share": ("tail's share of the labels", "percent"),
    "tail_predicted_ratio": ("predictions of the tail over its labels", "times"),
    "tail_loss_share": ("tail's share of the loss", "percent"),
    "tail_share_ratio": (
        "tail's share of the loss over its share of the labels, in multilabel of the decisions",
        "times",
    ),
    "prior_shift": ("prior shift: predictions that would have to change class", "percent"),
}

TERMS = {
    "imbalance ratio": "Labels of the most frequent class over labels of the rarest one that occurs.",
    "entropy share": "Entropy of the label counts over ln C: 1 for equal counts, 0 where only one class occurs.",
    "effective classes": "exp(entropy): as many equally frequent classes would be as uneven as these.",
    "LRID": "Likelihood-ratio imbalance degree, -2 Σ n_c ln(N / (C n_c)): 0 for equal counts, larger the less "
    "likely equal frequencies are; it grows with N and has no upper bound (Zhu 2018).",
    "Gini": "Twice the area between the Lorenz curve and the diagonal: 0 for equal counts, towards 1 where one "
    "class has all.",
    "absent classes": "Classes without a single label; nothing can be said about them.",
    "prior shift": "Total variation between label and prediction frequencies: the share of the predictions that would "
    "have to change class for the frequencies to agree.",
    "recall": "Of the labels of a class, the share that is predicted as that class.",
    "precision": "Of the predictions of a class, the share whose label is that class.",
    "F1": "Harmonic mean of precision and recall; of masks it is the Dice score.",
    "IoU": "Intersection over union of label and prediction of a class.",
    "AP": "Average precision: area under the precision-recall curve of the class's probability.",
    "AUROC": "Probability that a random sample of the class gets a higher probability of it than a random other "
    "sample.",
    "ECE": "Expected calibration error: mean distance between confidence and accuracy over bins of confidence.",
    "class-wise ECE": "Calibration error of each class's own probability, averaged over classes.",
    "Brier": "Mean squared distance between probabilities and labels; 0 is best.",
    "loss share": "Part of the whole loss that falls on the labels of a class; of multilabel, on all decisions about "
    "it, positive and negative.",
    "loss share ratio": "Loss share over the share of the labels (of multilabel: of the decisions) that it adds up: "
    "above 1 where a class is harder than its size says.",
    "mean loss": "Mean of the loss over the labels of a class.",
    "p50": "Median of the loss over the labels of a class.",
    "p90": "90% of the labels of a class have a smaller loss.",
    "p99": "99% of the labels of a class have a smaller loss.",
    "accuracy": "Share of the labels predicted right.",
    "balanced accuracy": "Mean recall over the classes that have labels: each class counts the same.",
    "macro F1": "Mean F1 over the classes.",
    "MCC": "Matthews correlation coefficient: 1 is perfect, 0 is chance.",
    "kappa": "Cohen's kappa: agreement beyond chance; 1 is perfect, 0 is chance.",
    "average precision": "Area under the precision-recall curve, mean over classes.",
    "easy half": "The half of the samples with the lowest loss.",
    "effective samples": "(Σ loss)² / Σ loss²: as many samples of equal loss would weigh the same.",
    "gamma": "Focal loss multiplies each sample's cross-entropy by (1 - p)^gamma: the larger, the less easy "
    "samples count.",
    "temperature": "Dividing the logits by T makes confident predictions less so (T > 1) without changing which class "
    "wins.",
    "NLL": "Mean negative log-probability of the label.",
    "95% interval": "Where the number would fall in 95 of 100 data sets of this size; Wilson's for proportions, "
    "a Poisson bootstrap's for the rest.",
    "q value": "Benjamini-Hochberg: among groups with a q value below 0.05, about 5% are expected to be chance.",
    "tau": "Logit adjustment subtracts tau · log prior from the logits before the largest one is taken (Menon 2021).",
    "gained": "Samples that were wrong in the first run and are right in the second.",
    "lost": "Samples that were right in the first run and are wrong in the second.",
}
