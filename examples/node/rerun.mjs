// Re-runs each task that has failed.
//
//     npm install koffi
//     BULK_RERUN_STORE=runs.db node rerun.mjs
import koffi from "koffi";

const lib = koffi.load("libbulk_rerun.so.1");
// Text that is ours: koffi copies it, and frees it.
koffi.disposable("Text", "str", lib.func("void bulk_rerun_string_free(void *text)"));
const bulkRerun = lib.func("Text bulk_rerun(const char *request_json)");

const answer = JSON.parse(bulkRerun(JSON.stringify({ match_all: true, filter: { status: "failed" } })));
if (answer.status) throw new Error(answer.detail);
for (const run of answer.triggered) console.log(`${run.task_name}: ${run.run_id} (again of ${run.rerun_of})`);
