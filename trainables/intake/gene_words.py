"""Words by which genes and features that are no genes are recognised."""

from __future__ import annotations

RNA_FEATURES = frozenset(
    {"gene expression", "gex", "rna", "gene", "genes", "mrna", "transcriptome"}
)
OTHER_FEATURES = frozenset(
    {
        "antibody capture", "antibody", "adt", "protein", "prot", "proteins", "surface protein",
        "crispr guide capture", "crispr", "grna", "sgrna", "guide", "multiplexing capture", "cmo",
        "custom", "hto", "hashtag", "hashtags", "peaks", "peak", "atac", "chromatin accessibility",
        "antigen capture", "vdj", "vdj-t", "vdj-b", "spike-in", "spikein", "ercc", "cite",
    }
)  # fmt: skip
"""Kinds of features, as Cell Ranger, muon, scvi-tools and CELLxGENE write them, in lower case."""
NOT_GENES = {
    "hashtags": r"(?i)^(HTO[_\-. ]?([A-Z]|[A-Z]?\d+)\b.*|hash[_\-. ]?tags?[_\-. ]?\d*\b.*"
    r"|.*[_\-. ]HTO|CMO\d{3}|.*[_\-. ]hashtag\d*|anti[_\-]?hashtag.*"
    r"|multi[_\-]?(bc|seq)[_\-. ]?\d+.*)$",
    "antibodies": r"(?i)^(.*[_\-. (]?TotalSeq[_\-. ]?[A-D]?\d*\)?|ADT[_\-. ].+|.+[_\-. ]ADT"
    r"|.+[_\-. ]Total[A-D]|(Hu|Ms|HuMs|MsRt|HuMsRt)\.[A-Z].+|[A-D]0\d{3}|prot[_:].+"
    r"|.+[_\-. ]protein|AB[_]CD\w+|.+_(anti|prot|ab|pab)|anti[\-_ ].+"
    r"|.*isotype.*|sample[\-_. ]?tag.*)$",
    "spike-ins": r"^(ERCC[\-_.]\d{5}|.*_ERCC-\d{5}|SIRV\d+.*)$",
    "peaks": r"(?i)^(chr)?(\d{1,2}|[XYM]|MT|[GK][IL]\d+\.\d)[:\-_]\d+[\-_]\d{3,}$",
    "totals of HTSeq or STAR": r"^(__(no_feature|ambiguous|too_low_aQual|not_aligned"
    r"|alignment_not_unique)|N_(unmapped|multimapping|noFeature|ambiguous))$",
}
PROTEINS = frozenset(
    "CD3 CD8 CD8a CD10 CD11a CD11b CD11c CD13 CD16 CD20 CD21 CD23 CD25 CD29 CD31 CD39 CD41 CD45"
    " CD45RA CD45RO CD49b CD49d CD56 CD57 CD62L CD64 CD66b CD71 CD95 CD103 CD107a CD117 CD123 CD127"
    " CD138 CD141 CD152 CD154 CD158 CD161 CD183 CD184 CD185 CD194 CD195 CD196 CD197 CD223 CD278"
    " CD279 HLA-DR PD-1 PD-L1 CTLA-4 TIM-3 LAG-3 TCRab TCRgd IgD IgM IgG1 IgG2a IgG2b".split()
)
"""Names of proteins on the panels of CITE-seq that are no symbols of genes."""
GENOMES = (
    r"GRCh3[78]|hg19|hg38|GRCm3[89]|mm9|mm10|mm39|T2T|CHM13|GRCh38_and_mm10"
    r"|HUMAN|MOUSE|human|mouse"
)
"""Genomes and species before names of genes, as in mixtures of cells of two species."""
COLUMN_NAMES = frozenset(
    "genename genenames featurename featurenames feature features genesymbol genesymbols symbol"
    " symbols geneshortname gene genes hgnc hgncsymbol hgncsymbols externalgenename officialsymbol"
    " mgisymbol name names index varnames geneid".split()
)
"""Usual names of columns of symbols, letters only."""
TABLE_COLUMNS = frozenset(
    {
        "cell_type", "celltype", "cell_types", "celltypes", "cell type", "label", "labels", "batch",
        "batches", "donor", "donors", "patient", "sample", "samples", "cluster", "clusters",
        "leiden", "louvain", "seurat_clusters", "phase", "age", "sex", "n_counts", "n_genes",
        "ncount_rna", "nfeature_rna", "percent.mt", "percent_mt", "percent_mito", "percent.mito",
        "pct_mito", "pct_counts_mt", "total_counts", "n_genes_by_counts", "mito_frac", "numi",
        "ngene", "ngenes", "library_size", "size_factor", "size_factors", "sizefactor", "barcode",
        "doublet_score", "doublet_scores", "scrublet_score", "dissociation_score", "s_score",
        "g2m_score", "s.score", "g2m.score", "condition", "treatment", "timepoint", "replicate",
        "tissue", "organ", "study", "well", "plate", "lane", "annotation", "ident", "orig.ident",
        "total", "totals", "unmapped", "bmi", "rin", "day", "time", "dose", "weight", "height",
        "dataset", "experiment", "viability", "pseudotime", "unnamed: 0", "rowname",
        "cell", "cells", "cellid", "cell_id", "res.1", "umap_1", "umap_2",
        "tsne_1", "tsne_2", "fold", "split", "is_doublet", "predicted_doublet", "doublet",
        "singlet", "group",
        "groups", "stage", "class", "target", "index", "level", "state", "score", "type",
    }
)  # fmt: skip
"""Names of columns that describe cells in tables, in lower case; none is a gene's symbol."""
LANDMARKS = frozenset(
    "ACTB ACTG1 ACTA2 AIF1 ALB APOE APOC1 AQP4 ATP5F1B B2M BTG1 C1QA C1QB C1QC CALM1 CALM2 CCL2"
    " CCL3 CCL4 CCL5 CCR7 CD14 CD19 CD2 CD27 CD36 CD3D CD3E CD3G CD4 CD44 CD5 CD52 CD68 CD69 CD7"
    " CD74 CD79A CD79B CD8A CD8B CD9 CDK1 CDKN1A CFL1 CHGA CLDN5 COL1A1 COL1A2 COL3A1 COX4I1 CST3"
    " CST7 CXCL10 CXCL8 CXCR4 DCN DDX5 DUSP1 EEF1A1 EEF2 EGFR EPCAM ESR1 FAU FCER1A FCGR3A FCN1"
    " FN1 FOS FTH1 FTL GAPDH GATA3 GCG GFAP GNAI2 GNLY GZMA GZMB GZMK H3F3B HBA1 HBB HLA-A HLA-B"
    " HLA-C HLA-DRA HLA-DRB1 HSP90AA1 HSP90AB1 HSPA1A HSPA8 HSPB1 ID2 IFI6 IFITM1 IFITM2 IFITM3"
    " IFNG IGHM IGKC IL2RA IL32 IL6 IL7R INS IRF1 ISG15 JUN JUNB KIT KLF2 KLF6 KLRB1 KLRD1 KRT18"
    " KRT19 KRT5 KRT8 LDHA LDHB LEF1 LGALS1 LGALS3 LST1 LTB LUM LYZ MALAT1 MAP2 MBP MKI67 MS4A1"
    " MT-CO1 MT-CO2 MT-CO3 MT-ND1 MT-ND4 MT-CYB MT-ATP6 MT2A MYC MYL6 NCAM1 NEAT1 NFKBIA NKG7"
    " PABPC1 PCNA PDGFRB PECAM1 PFN1 PGK1 PLP1 POLR2A PPBP PPIA PPIB PRF1 PTMA PTPRC RPL10 RPL13"
    " RPL13A RPL3 RPL32 RPL7 RPLP0 RPLP1 RPS18 RPS19 RPS27 RPS27A RPS3 RPS6 RPSA S100A4 S100A6"
    " S100A8 S100A9 SAT1 SELL SLC25A5 SLC2A1 SOX2 SOX9 SPARC SPP1 SRGN SST STAT1 STMN1 TAGLN TCF7"
    " TIMP1 TMSB10 TMSB4X TOP2A TP53 TPT1 TRAC TUBA1A TUBA1B TUBB TYROBP UBA52 UBB UBC VIM VWF XIST"
    " YBX1 ZFP36".split()
)
"""Symbols of genes that most data sets have; with another case, those of mice."""
