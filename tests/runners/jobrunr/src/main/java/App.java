import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.UUID;
import org.jobrunr.configuration.JobRunr;
import org.jobrunr.jobs.annotations.Job;
import org.jobrunr.jobs.context.JobContext;
import org.jobrunr.scheduling.JobScheduler;
import org.jobrunr.server.BackgroundJobServerConfiguration;
import org.jobrunr.storage.sql.postgres.PostgresStorageProvider;
import org.postgresql.ds.PGSimpleDataSource;

/**
 * An application with JobRunr. `enqueue TASK NOTE` queues a job and prints its id, `schedule TASK NOTE` one that is due in
 * an hour, `delete ID` takes one back, `recur CRON` has the steady task recur, and `work` is a server that polls as
 * often as one may. It works on STORE, a URL. The id of each job that succeeds goes to the file NOTES.
 */
public class App {
    public static class Tasks {
        @Job(name = "flaky %0", retries = 0)
        public void flaky(String note, JobContext context) throws Exception {
            needsSomething(context);
        }

        @Job(name = "patient %0", retries = 3)
        public void patient(String note, JobContext context) throws Exception {
            needsSomething(context);
        }

        @Job(name = "steady %0", retries = 0)
        public void steady(String note, JobContext context) throws Exception {
            // What a job keeps for itself between its attempts.
            context.saveMetadata("begun", note);
            note(context);
        }

        /** Fails as long as what it needs is missing. */
        private static void needsSomething(JobContext context) throws Exception {
            if (!Files.exists(Path.of(System.getenv("NEEDED")))) {
                throw new IllegalStateException("what I need is missing");
            }
            note(context);
        }

        private static void note(JobContext context) throws Exception {
            Files.writeString(Path.of(System.getenv("NOTES")), context.getJobId() + "\n",
                    StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }
    }

    public static void main(String[] arguments) throws Exception {
        var store = new PGSimpleDataSource();
        var url = java.net.URI.create(System.getenv("STORE"));
        store.setUrl("jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath());
        store.setUser(url.getUserInfo());
        store.setApplicationName("app");
        var configuration = JobRunr.configure().useStorageProvider(new PostgresStorageProvider(store));
        switch (arguments[0]) {
            case "work" -> {
                configuration.useBackgroundJobServer(BackgroundJobServerConfiguration
                        .usingStandardBackgroundJobServerConfiguration().andPollIntervalInSeconds(5).andWorkerCount(8)).initialize();
                System.out.println("working");
                Thread.currentThread().join();
            }
            case "schema" -> configuration.initialize();
            default -> call(configuration.initialize().getJobScheduler(), arguments);
        }
    }

    private static void call(JobScheduler jobs, String[] arguments) {
        String what = arguments[0], task = arguments[1];
        switch (what) {
            case "enqueue" -> {
                String note = arguments[2];
                System.out.println(switch (task) {
                    case "flaky" -> jobs.<Tasks>enqueue(tasks -> tasks.flaky(note, JobContext.Null));
                    case "patient" -> jobs.<Tasks>enqueue(tasks -> tasks.patient(note, JobContext.Null));
                    default -> jobs.<Tasks>enqueue(tasks -> tasks.steady(note, JobContext.Null));
                });
            }
            case "schedule" -> {
                String note = arguments[2];
                var later = Instant.now().plus(Duration.ofHours(1));
                System.out.println(jobs.<Tasks>schedule(later, tasks -> tasks.steady(note, JobContext.Null)));
            }
            case "delete" -> jobs.delete(UUID.fromString(task));
            case "recur" -> jobs.<Tasks>scheduleRecurrently("again", task, tasks -> tasks.steady("again", JobContext.Null));
            default -> throw new IllegalArgumentException(what);
        }
    }
}
