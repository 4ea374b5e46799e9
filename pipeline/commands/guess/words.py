"""Words by which names of files, columns and attributes say what they are."""

from __future__ import annotations

import re

LABEL_WORDS = (
    "y", "label", "labels", "activity", "activities", "class", "classes", "target", "annotation",
    "event", "act", "activityid", "classlabel", "gesture", "condition", "state", "stage", "fault",
    "stimulus", "restimulus", "hypnogram",
)  # fmt: skip
OF_LABELS = re.compile(r"((?:labels?|annotations?|class)[\W_]).", re.IGNORECASE)
"""How columns begin of which each says whether one label holds, or how it came about."""
GROUP_WORDS = (
    "group", "groups", "subject", "subjects", "participant", "patient", "person", "user",
    "machine", "bearing", "subjectid", "userid", "subj", "sub", "pid", "participantid",
    "patientid", "patientno", "unit", "unitnumber", "engine", "device", "session", "id",
)  # fmt: skip
DOUBTED_GROUPS = ("id", "session", "device", "unit")
"""Words that may say something else than whom a window is of."""
SPLIT_WORDS = ("split", "official_split", "partition", "set", "fold")
TIME_WORDS = (
    "time", "timestamp", "timestamps", "t", "datetime", "date", "ts", "sec", "secs", "second",
    "seconds", "elapsed", "millis", "ms", "timems", "times", "secondselapsed", "unixtime",
    "sensortime", "systemtime", "recordtime", "timens", "timeus",
)  # fmt: skip
INDEX_WORDS = ("index", "unnamed", "row", "rownumber", "sample", "samplenumber", "frame", "nr",
               "counter", "linenumber", "framenumber", "seq", "sequence",
               "packetcounter")  # fmt: skip
CHANNEL_WORDS = ("channels", "channel_names", "columns", "axes", "signals", "ch_names", "labels",
                 "column_names", "names", "sensors")  # fmt: skip
UNIT_WORDS = ("units", "unit")
TRAIN_OR_TEST = frozenset(("train", "test", "training", "testing", "val", "validation"))
LEFT_OUT = re.compile(r"unlabel|unknown|undefined|^null|none|other|transient|ignore", re.IGNORECASE)
FIELDS = {
    "subject": "s sub subj subject subjects p pt participant patient person user u usr volunteer "
    "proband vp su pp sa se hc",
    "session": "ses sess session day visit",
    "trial": "t trial trials rep r repetition run take try iter sample",
    "recording": "rec recording exp experiment record file seq sequence e",
    "activity": "a act activity class label gesture movement task c",
    "machine": "bearing machine unit engine device dev motor pump turbine",
    "condition": "cond condition load speed level rpm",
}
"""Names of fields, and words that stand before such a number in names of files."""
FIELD_OF = {word: field for field, words in FIELDS.items() for word in words.split()}
SENSORS = frozenset(
    re.findall(
        r"\w+",
        "acc accel accelerometer accelerometers acceleration gyr gyro gyroscope gyroscopes gyros "
        "mag magnet magnetometer magnetometers eda gsr bvp ppg ecg ekg eeg emg eog hr ibi temp "
        "temperature baro barometer pressure gravity linear linearacceleration orientation "
        "rotation rot rotrate rotationrate attitude quaternion euler imu gps light sound audio "
        "mic respiration resp spo2 body total useracceleration devicemotion motion watch phone "
        "wrist ankle chest hip hips torso trunk shin forearm upperarm thigh arm leg foot hand back "
        "waist pocket head knee left right lower upper current voltage vibration "
        "acoustic de fe ba force torque ",
    )
)
"""Words of which several stand side by side: what the channels of one recording come from."""
AXIS_LETTERS = frozenset("xyz")
ACTIVITIES = re.compile(
    r"walk|wlk|run|jog|sit|stand|std|lie|lying|lay|stair|ups|dws|upstairs|downstairs|fall|bik|cycl|"
    r"jump|climb|row|rest|sleep|drive|eat|drink|write|typ|wash|brush|sweep|clap|dribb|kick|catch|"
    r"normal|fault|healthy|inner|outer|ball|baseline|stress|amuse|medit|adl|wave|swipe|push|pull|"
    r"push|squat|lunge|idle|still|moving|nrem|rem|wake|seiz|open|close|rotate|turn",
    re.IGNORECASE,
)
"""Words of names that say what was done, or how a machine was."""


def word(name: str) -> str:
    """The last part of a path, in lower case, without what stands between its words."""
    return joined(name.rpartition("/")[2])


def joined(name: str) -> str:
    """A name in lower case, letters and digits alone, and no unit in brackets behind it."""
    bare = re.sub(r"[\[(][^\])]*[\])]\s*$", "", name)
    return re.sub(r"[\W_]+", "", bare.lower()) or name.lower()


def parts_of(name: str) -> list[str]:
    """The words of a name: `userAcceleration.x` is user, Acceleration, x."""
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return re.findall(r"[^\W\d_]+|\d+", parted)
