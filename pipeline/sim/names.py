"""Names of dm_control's suite tasks, as DOMAIN_TASK, and of the axes of looks, without importing dm_control (tests compare)."""

# Axes of looks; several joined by `+` act together, each at the look's severity; `all` is the paired ones at half of it.
AXES = ("texture", "lighting", "camera", "drift", "color", "distractors", "size")
ALL, JOIN, SIZE = "all", "+", "size"

TASKS: dict[str, tuple[str, str]] = {
    "acrobot_swingup": ("acrobot", "swingup"),
    "acrobot_swingup_sparse": ("acrobot", "swingup_sparse"),
    "ball_in_cup_catch": ("ball_in_cup", "catch"),
    "cartpole_balance": ("cartpole", "balance"),
    "cartpole_balance_sparse": ("cartpole", "balance_sparse"),
    "cartpole_swingup": ("cartpole", "swingup"),
    "cartpole_swingup_sparse": ("cartpole", "swingup_sparse"),
    "cartpole_three_poles": ("cartpole", "three_poles"),
    "cartpole_two_poles": ("cartpole", "two_poles"),
    "cheetah_run": ("cheetah", "run"),
    "dog_fetch": ("dog", "fetch"),
    "dog_run": ("dog", "run"),
    "dog_stand": ("dog", "stand"),
    "dog_trot": ("dog", "trot"),
    "dog_walk": ("dog", "walk"),
    "finger_spin": ("finger", "spin"),
    "finger_turn_easy": ("finger", "turn_easy"),
    "finger_turn_hard": ("finger", "turn_hard"),
    "fish_swim": ("fish", "swim"),
    "fish_upright": ("fish", "upright"),
    "hopper_hop": ("hopper", "hop"),
    "hopper_stand": ("hopper", "stand"),
    "humanoid_run": ("humanoid", "run"),
    "humanoid_run_pure_state": ("humanoid", "run_pure_state"),
    "humanoid_stand": ("humanoid", "stand"),
    "humanoid_walk": ("humanoid", "walk"),
    "humanoid_CMU_run": ("humanoid_CMU", "run"),
    "humanoid_CMU_stand": ("humanoid_CMU", "stand"),
    "humanoid_CMU_walk": ("humanoid_CMU", "walk"),
    "lqr_lqr_2_1": ("lqr", "lqr_2_1"),
    "lqr_lqr_6_2": ("lqr", "lqr_6_2"),
    "manipulator_bring_ball": ("manipulator", "bring_ball"),
    "manipulator_bring_peg": ("manipulator", "bring_peg"),
    "manipulator_insert_ball": ("manipulator", "insert_ball"),
    "manipulator_insert_peg": ("manipulator", "insert_peg"),
    "pendulum_swingup": ("pendulum", "swingup"),
    "point_mass_easy": ("point_mass", "easy"),
    "point_mass_hard": ("point_mass", "hard"),
    "quadruped_escape": ("quadruped", "escape"),
    "quadruped_fetch": ("quadruped", "fetch"),
    "quadruped_run": ("quadruped", "run"),
    "quadruped_walk": ("quadruped", "walk"),
    "reacher_easy": ("reacher", "easy"),
    "reacher_hard": ("reacher", "hard"),
    "stacker_stack_2": ("stacker", "stack_2"),
    "stacker_stack_4": ("stacker", "stack_4"),
    "swimmer_swimmer15": ("swimmer", "swimmer15"),
    "swimmer_swimmer6": ("swimmer", "swimmer6"),
    "walker_run": ("walker", "run"),
    "walker_stand": ("walker", "stand"),
    "walker_walk": ("walker", "walk"),
}


def field_camera(task: str) -> int:
    """The camera that the field renders a task with: 0, but 2 for quadruped (as DreamerV2 and DrQ-v2 do)."""
    return 2 if task in TASKS and TASKS[task][0] == "quadruped" else 0
