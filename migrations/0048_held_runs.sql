-- Whether a person paused the run by itself: nothing of it begins until it is resumed, whatever its workflow does.
ALTER TABLE runs_open ADD COLUMN is_held boolean NOT NULL DEFAULT false;
