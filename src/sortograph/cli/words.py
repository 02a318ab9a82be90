"""What options are called in every command's help: one text each, whoever parses them."""

PROGRAM = "sortograph"

JSON = "Print JSON instead of tables."
QUIET = "Say nothing on stderr but warnings and errors."
VERBOSE = "Tell more."
SHARE = "Share of all photos, where they have no splits of their own; short for --set split.{}=SHARE."
SPLIT_SEED = "Seed of the split; short for --set split.seed=N."
DEBUG = "Show where in the program an error came from."
OUT = "Folder for the results."
SEED = "Seed of first weights, order and augmentation (train.seed); the split has split.seed."
SET = "Change one value of the recipe, such as train.epochs=5; may be repeated."
RECIPE = "A named recipe (sortograph recipes list) or a .toml file."
CLASSES = "Class names in the order of the model's outputs, separated by commas."
PHOTOS = "Folder of photos, a .zip or .tar of one, or a table of them."
GROUP_FROM = "Photos whose paths agree in the first group of this pattern stay on one side of each split."
LOG = "Also write figures for tensorboard or mlflow, into files on this machine."
BUDGET = "Time that everything together may take, such as 60s, 5m or 2h; the recipe auto plans by it."
NO_PRETRAINED = "Train from scratch: no weights that others have taught."
FOLLOW_LINKS = "Look into linked folders, and follow links that lead out of PHOTOS."
AUDIT_MODEL = "What embeds photos to tell wrong labels (default: the best backbone on this machine)."
AUDIT_PAGE = "Where the page with thumbnails is written (default: PHOTOS-audit.html)."
AUDIT_FIX = "Write a plan of what to move to quarantine; nothing is moved yet."
AUDIT_QUICK = "Leave out what takes longest: wrong labels and likely duplicates."
PATTERN = "Names to list, with * and ? for what may differ: 'efficientnet*' (default: all)."
AT_HAND = "Only those whose weights are on this machine."
WEIGHTS_NAME = "A model of timm or torchvision, perhaps with a tag of yours: mobilenetv2_100.mine."
WEIGHTS_FILE = "The weights: .safetensors or .pth, with the classifier or without it; stays as it is."
WEIGHTS_MEAN = "Mean of pixels in 0-1 that is subtracted: one for all channels, or R,G,B."
WEIGHTS_STD = "Standard deviation that pixels are divided by: one for all channels, or R,G,B."
WEIGHTS_SIZE = "Side of photos in pixels, or height,width."
WEIGHTS_ARGUMENT = "Argument of the library's maker of the network, such as pad_type=same; may be repeated."
WEIGHTS_LICENCE = "Licence of the weights, such as apache-2.0; goes into every model made with them."
WEIGHTS_ORIGIN = "Where the weights came from (default: the name of FILE)."
MODEL = "A run folder, or the model.onnx of one."

# The first character keeps the lines below it as they are.
START = """\b
Start with one of these:
  sortograph demo           trains on digits that come with it
  sortograph index PHOTOS   looks at photos of your own
  sortograph audit PHOTOS   tells what is wrong with them
  sortograph train PHOTOS   trains on them"""

DIAGNOSE_PHOTOS = "The photos that the run had: for a learning curve, and for --try."
DIAGNOSE_TRY = "Train short runs with the remedies, and tell what each really does to the validation photos."
DIAGNOSE_BUDGET = "Time that the runs of --try may take together, such as 5m (default: 10m)."

PREDICT = "Tell what is on photos."
PREDICT_INPUTS = "Photos, folders of photos, or - for names on standard input."
PREDICT_CSV = "Write a table to FILE.csv; without a FILE to stdout."
PREDICT_MAX_ERROR = "Withhold unsure answers, so that of the others at most this share is wrong: 0.02."
PREDICT_GRID = "Draw the photos with their answers into this PNG file."
PREDICT_TOP_K = "How many classes to name for each photo (default: 5 in JSON, else 1)."

EXPLAIN_CLASS = "The class to explain (default: the one that the model names)."
EXPLAIN_OUT = "One sheet for all photos, or a folder for a picture of each."
EXPLAIN_METHOD = "auto, occlusion, or gradcam (for networks from scratch, from their run folder)."
