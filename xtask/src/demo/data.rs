//! A small data set in the shape of Something-Something V2: WebM clips (VP9, 240 lines, 12 frames a second) named by
//! number, and labels in JSON. Its clips show a square that does what the label says. Pure.

use crate::engine::docker;
use crate::step::Step;
use serde_json::{Map, Value, json};
use std::path::Path;

struct Clip {
    id: u32,
    template: &'static str,
    /// Stands for `[something]` in the template.
    something: &'static str,
    /// Where the square is at second `t` of four, as expressions of ffmpeg.
    x: &'static str,
    y: &'static str,
}

const CLIPS: &[Clip] = &[
    Clip { id: 1, template: "Moving [something] up", something: "a square", x: "140", y: "200-50*t" },
    Clip { id: 2, template: "Moving [something] down", something: "a square", x: "140", y: "50*t" },
    Clip { id: 3, template: "Pushing [something] from left to right", something: "a block", x: "70*t", y: "100" },
    Clip { id: 4, template: "Pushing [something] from right to left", something: "a block", x: "280-70*t", y: "100" },
];

/// The directory of the clips in the data set, named as in the original.
const CLIP_DIR: &str = "20bn-something-something-v2";

/// The files of labels: name and text.
fn labels() -> Vec<(&'static str, String)> {
    // As in the original, a class is the template without its brackets, and its number is a text.
    let class = |(number, clip): (usize, &Clip)| (clip.template.replace(['[', ']'], ""), json!(number.to_string()));
    let classes: Map<String, Value> = CLIPS.iter().enumerate().map(class).collect();
    let entry = |clip: &Clip| {
        json!({
            "id": clip.id.to_string(),
            "label": clip.template.replace("[something]", clip.something).to_lowercase(),
            "template": clip.template,
            "placeholders": [clip.something],
        })
    };
    let train = Value::from_iter(CLIPS.iter().map(entry));
    vec![("labels/labels.json", format!("{:#}\n", json!(classes))), ("labels/train.json", format!("{train:#}\n"))]
}

/// The steps that make the data set. ffmpeg runs in the sandbox's image, so that the host needs none.
pub(super) fn steps(dir: &Path, image: &str, uid: u32, gid: u32) -> Vec<Step> {
    let mut steps: Vec<Step> =
        labels().into_iter().map(|(name, text)| Step::WriteFile { path: dir.join(name), text }).collect();
    let clips = dir.join(CLIP_DIR);
    steps.push(Step::CreateDir { path: clips.clone(), mode: 0o755 });
    let mount = format!("type=bind,source={},target=/clips", clips.display());
    let user = format!("{uid}:{gid}");
    let command = docker::run_apart().args(["--user", &user, "--mount", &mount, "--workdir", "/clips"]);
    let command = command.args(["--entrypoint", "ffmpeg", image, "-v", "error", "-y"]);
    steps.push(Step::Run(command.args(ffmpeg()).timeout(120)));
    steps
}

/// The arguments with which one call of ffmpeg makes all clips.
fn ffmpeg() -> Vec<String> {
    let scene = |Clip { id, x, y, .. }: &Clip| {
        let squares = format!(
            "color=gray:size=320x240:rate=12:duration=4[b{id}];color=orange:size=40x40:rate=12:duration=4[s{id}];\
             [b{id}][s{id}]overlay=x='{x}':y='{y}':shortest=1[v{id}]"
        );
        ["-filter_complex".to_owned(), squares]
    };
    let file = |Clip { id, .. }: &Clip| {
        let args = format!("-map [v{id}] -c:v libvpx-vp9 -b:v 200k -pix_fmt yuv420p -deadline realtime {id}.webm");
        args.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    CLIPS.iter().flat_map(scene).chain(CLIPS.iter().flat_map(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clip_has_a_label_of_the_shape_of_the_original() {
        let labels = labels();
        let classes: Value = serde_json::from_str(&labels[0].1).unwrap();
        let train: Value = serde_json::from_str(&labels[1].1).unwrap();
        assert_eq!(train.as_array().unwrap().len(), CLIPS.len());
        assert_eq!(train[2]["label"], "pushing a block from left to right");
        for entry in train.as_array().unwrap() {
            let class = entry["template"].as_str().unwrap().replace(['[', ']'], "");
            assert!(classes[&class].is_string(), "{class}");
            assert!(ffmpeg().contains(&format!("{}.webm", entry["id"].as_str().unwrap())));
        }
    }
}
