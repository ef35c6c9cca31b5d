package testkit;

import java.util.List;
import org.apache.lucene.util.Version;
import org.elasticsearch.Build;
import org.elasticsearch.action.admin.cluster.state.ClusterStateResponse;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.rest.action.RestResponseListener;
import org.elasticsearch.xcontent.XContentBuilder;

/** `GET /` and `HEAD /`: which cluster this is. */
final class RootHandler extends BaseRestHandler {
  private final String node;
  private final String cluster;

  RootHandler(String node, String cluster) {
    this.node = node;
    this.cluster = cluster;
  }

  @Override
  public String getName() {
    return "testkit_main";
  }

  @Override
  public List<Route> routes() {
    return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
  }

  @Override
  protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
    var state = client.admin().cluster().prepareState(TimeValue.timeValueSeconds(30)).clear().setMetadata(true);
    return channel -> state.execute(new RestResponseListener<>(channel) {
      @Override
      public RestResponse buildResponse(ClusterStateResponse response) throws Exception {
        Build build = Build.current();
        XContentBuilder body = channel.newBuilder().prettyPrint().startObject();
        body.field("name", node).field("cluster_name", cluster);
        body.field("cluster_uuid", response.getState().metadata().clusterUUID());
        body.startObject("version").field("number", build.version());
        body.field("build_flavor", build.flavor()).field("build_type", "zip");
        body.field("build_hash", build.hash()).field("build_date", build.date());
        body.field("build_snapshot", build.isSnapshot()).field("lucene_version", Version.LATEST.toString());
        body.field("minimum_wire_compatibility_version", build.minWireCompatVersion());
        body.field("minimum_index_compatibility_version", build.minIndexCompatVersion()).endObject();
        return new RestResponse(RestStatus.OK, body.field("tagline", "You Know, for Search").endObject());
      }
    });
  }
}
